"""Growing token trees: where to start and where to fork. `branching` holds the decision rules, which are pure."""
