"""A trial used after the search: retrained, judged, registered, evaluated, exported, asked."""
