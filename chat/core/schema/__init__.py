"""JSON schemas that a reply must fit, in a form that engines take."""
