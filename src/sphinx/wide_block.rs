//! LIONESS, the wide-block cipher of the payload.
