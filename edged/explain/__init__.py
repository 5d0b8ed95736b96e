"""Facts of a decision as sentences, Chinese and English: for the demo, ``edged why`` and events to the centre."""
