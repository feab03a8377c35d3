//! A stand-in for a model that needs no network and no key.
