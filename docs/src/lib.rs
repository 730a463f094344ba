//! The guide, and proof that it is true: each Rust block is compiled and run as a test here,
//! the command lines are typed by `cli/tests/`.

#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../guide/embedding.md")]
    mod embedding {}
}
