"""The halls of the random days: the one of ``hall.txt``, a small one of one area, and variants of both."""

from __future__ import annotations

from functools import cache

from edged.core.model.site import Site
from tests.support.core_hall import SiteText

CHANGES = (
    "",
    "without window w9",
    "area cases 办不成事 Cases; service unsolved cases 办不成事反映 Unsolved U case;"
    " window w5 5 unsolved panel=p7 evaluator=e5; cases lamp relay/5",
    "without window w3",
    "without staff li",
    "without service tax-invoice; window w2 2 tax-general panel=p2; window w4 4 deed panel=p4;"
    " window w8 8 tax-general tidal panel=p8",
    "window w8 8 tax-general panel=p8",
    "window w1 1 tax-general tidal panel=p1",
    "window w9 9 social-card tidal panel=p9",
    "service social-card tax 社保卡 Cards S",
    "window w8 8 deed tidal panel=p8 lamp=relay/8; area house 不动产 Housing",
    "without area social; without service social-card; without window w3; staff wang 王 tax pager=pager-wang;"
    " window w9 9 tax-general tidal panel=p9",
)
SMALL = (
    "hall demo 示例大厅; without area social; without area house; without service social-card; without service deed;"
    " without window w3; without window w4; window w9 9 tax-invoice tidal panel=p9 lamp=relay/9 display=d9;"
    " staff wang 王 tax pager=pager-wang; without staff zhou"
)
SMALL_CHANGES = (
    "",
    "area cases 办不成事 Cases; service unsolved cases 办不成事反映 Unsolved U case;"
    " window w3 3 unsolved panel=p3 evaluator=e3; cases lamp relay/5",
    "without window w9",
    "window w8 8 tax-general panel=p8",
    "window w1 1 tax-general tidal panel=p1 lamp=relay/1; hall demo 示例大厅 displays=hall-led",
)


@cache
def sites(small: bool = False) -> tuple[Site, ...]:
    """The hall of ``hall.txt`` (``small``: the one with one area) and its variants, as a technician may change
    hall.toml.
    """
    made = []
    for change in SMALL_CHANGES if small else CHANGES:
        text = SiteText()
        for part in filter(None, map(str.strip, f"{SMALL if small else ''};{change}".split(";"))):
            text.change(part)
        made.append(text.site)
    return tuple(made)
