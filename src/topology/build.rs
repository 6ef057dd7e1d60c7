//! From checked parts to a snapshot.
