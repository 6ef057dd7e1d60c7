//! Packets and SURBs.
