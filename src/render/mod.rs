//! A report, or what happens meanwhile, as people and programs read it.
