"""Files a site starts from: example halls, a policy, schemas. Data only; a package so that an install has them."""
