//! (soon) What any suite must do.
