//! Hypergradients of bilevel problems: estimators, costs and outer loops.
