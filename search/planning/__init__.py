"""Everything that is known or checked before anything is trained."""
