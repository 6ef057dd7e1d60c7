//! The routing header: built from the last hop to the first, peeled from the first to the last.
