"""Gates: what a step has made is checked before anybody reads it. Every rule is an error or a warning."""
