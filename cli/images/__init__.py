"""From a bento to an image in a registry, and from its digest to an overlay."""
