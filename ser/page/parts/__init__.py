"""Parts of the page that open on demand: mood map, words, and what can be taken along."""
