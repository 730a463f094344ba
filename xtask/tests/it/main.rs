//! Claims about the workspace as a whole.

mod arrows;
