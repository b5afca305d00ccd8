//! The only `unsafe` of the project: what nix does not offer, one small safe function each.
