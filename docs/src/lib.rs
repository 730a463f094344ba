//! The guide, whose Rust blocks are compiled and run as tests.

#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../guide/embedding.md")]
    mod embedding {}
}
