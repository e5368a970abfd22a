"""The seven diagnoses the classifier tells apart (HAM10000, Tschandl et al. 2018)."""

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""Class names, in the order of the network's outputs."""

MELANOMA = CLASSES.index("mel")
MALIGNANT = tuple(CLASSES.index(name) for name in ("akiec", "bcc", "mel"))
"""akiec counts squamous cell carcinoma among it (ISIC 2019's SCC is read as akiec)."""

ALIASES = {"scc": "akiec"}
