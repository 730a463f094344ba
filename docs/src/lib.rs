//! The guide, and proof that it is true: each Rust block is compiled and run as a test, each
//! command line is one of the program's.

#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../guide/embedding.md")]
    mod embedding {}
}
