//! What a keeper does.
