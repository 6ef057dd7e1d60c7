//! The ladder: a point's u-coordinate times a number, in constant time and without preparation.

use super::field::Field;

/// The u-coordinate of `eight times eighth` times the point with the u-coordinate `u`, in constant time.
///
/// `eighth` is little-endian and below 2^253. The result is zero for the point at infinity.
pub fn ladder(u: &[u8; 32], eighth: &[u8; 32]) -> [u8; 32] {
    let u = Field::from_bytes(u);
    // Two points whose difference is always the given one: n and n + 1 times it.
    let (mut x2, mut z2, mut x3, mut z3) = (Field::ONE, Field::ZERO, u, Field::ONE);
    let mut swapped = 0;
    for i in (0..SCALAR_BITS).rev() {
        let bit = eighth[i / 8] >> (i % 8) & 1;
        Field::swap_if(&mut x2, &mut x3, swapped ^ bit);
        Field::swap_if(&mut z2, &mut z3, swapped ^ bit);
        swapped = bit;

        let (sum, difference) = (x2 + z2, x2 - z2);
        let (other_sum, other_difference) = (x3 + z3, x3 - z3);
        let (cross, other_cross) = (other_difference * sum, other_sum * difference);
        (x2, z2) = double(sum, difference);
        x3 = (cross + other_cross).square();
        z3 = u * (cross - other_cross).square();
    }
    Field::swap_if(&mut x2, &mut x3, swapped);
    Field::swap_if(&mut z2, &mut z3, swapped);
    for _ in 0..3 {
        (x2, z2) = double(x2 + z2, x2 - z2);
    }
    (x2 * z2.invert()).to_bytes()
}

/// Doubles the point whose coordinates have this sum and difference.
fn double(sum: Field, difference: Field) -> (Field, Field) {
    let (sum, difference) = (sum.square(), difference.square());
    let four_xz = sum - difference;
    (sum * difference, four_xz * (sum + four_xz.times_small(A24)))
}

/// A quarter of the curve's coefficient 486662 minus two.
const A24: i32 = 121_665;
const SCALAR_BITS: usize = 253;
