"""User studies: lists of models compared by people, with counterbalancing, interleaving, tests and power."""
