//! Points in twisted Edwards form, and tables of multiples that make multiplying cheap.
//!
//! The curve -x^2 + y^2 = 1 + d x^2 y^2 is the same as Curve25519, with y = (u - 1) / (u + 1). Addition is complete:
//! there are no exceptional cases that would need a branch.

use alloc::boxed::Box;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::field::{Field, mask};

/// A point as X/Z, Y/Z with T = XY/Z.
#[derive(Clone, Copy)]
pub struct Point {
    x: Field,
    y: Field,
    z: Field,
    t: Field,
}

impl Point {
    /// The neutral element.
    pub const IDENTITY: Self = Self { x: Field::ZERO, y: Field::ONE, z: Field::ONE, t: Field::ZERO };

    /// One of the two points with this u-coordinate; `None` when there are none, since `u` is on the twist.
    ///
    /// Not in constant time: for public keys.
    pub fn from_u(u: &[u8; 32]) -> Option<Self> {
        let u = Field::from_bytes(u);
        // y as a fraction; for u = -1, a point of the twist, its denominator is zero and there is no root.
        let (y, z) = (u - Field::ONE, u + Field::ONE);
        let (y2, z2) = (y.square(), z.square());
        let x = Field::root_of_ratio(y2 - z2, y2 * Field::D + z2)?;
        Some(Self { x: x * z, y: y * Field::ONE, z: z * Field::ONE, t: x * y })
    }

    /// The u-coordinate; zero for the point at infinity.
    pub fn to_u(self) -> [u8; 32] {
        ((self.z + self.y) * (self.z - self.y).invert()).to_bytes()
    }

    /// Whether this is the identity, or the point of order two.
    pub fn has_x_zero(self) -> bool {
        self.x.to_bytes() == [0; 32]
    }

    /// `2^times` times this point; `times` is at least one.
    pub fn double_times(self, times: usize) -> Self {
        let mut sum = Unfinished::double(self.x, self.y, self.z);
        for _ in 1..times {
            // A doubling does not read T, so T is only made at the end.
            sum = Unfinished::double(sum.x * sum.t, sum.y * sum.z, sum.z * sum.t);
        }
        sum.finish()
    }

    fn add(self, other: &Cached) -> Self {
        let a = (self.y + self.x) * other.y_plus_x;
        let b = (self.y - self.x) * other.y_minus_x;
        let c = self.t * other.t2d;
        let d = self.z * other.z;
        let d = d + d;
        Unfinished { x: a - b, y: a + b, z: d + c, t: d - c }.finish()
    }

    fn add_affine(self, other: &AffineCached) -> Self {
        let [y_plus_x, y_minus_x, xy2d] = other.fields();
        let a = (self.y + self.x) * y_plus_x;
        let b = (self.y - self.x) * y_minus_x;
        let c = self.t * xy2d;
        let d = self.z + self.z;
        Unfinished { x: a - b, y: a + b, z: d + c, t: d - c }.finish()
    }

    fn to_cached(self) -> Cached {
        Cached { y_plus_x: self.y + self.x, y_minus_x: self.y - self.x, z: self.z, t2d: self.t * Field::D2 }
    }
}

/// A sum or double as X/Z, Y/T, one multiplication per coordinate away from a point.
struct Unfinished {
    x: Field,
    y: Field,
    z: Field,
    t: Field,
}

impl Unfinished {
    fn double(x: Field, y: Field, z: Field) -> Self {
        let (x2, y2, z2_doubled) = (x.square(), y.square(), z.square_doubled());
        let both = (x + y).square();
        let (sum, difference) = (y2 + x2, y2 - x2);
        Self { x: both - sum, y: sum, z: difference, t: z2_doubled - difference }
    }

    fn finish(self) -> Point {
        Point { x: self.x * self.t, y: self.y * self.z, z: self.z * self.t, t: self.x * self.y }
    }
}

/// A point in the form in which it is added to others.
struct Cached {
    y_plus_x: Field,
    y_minus_x: Field,
    z: Field,
    t2d: Field,
}

/// The same with Z = 1: y + x, y - x and 2dxy, one after the other so that selecting is one loop.
#[derive(Clone, Copy)]
struct AffineCached([i32; 30]);

impl AffineCached {
    const IDENTITY: Self = {
        let mut limbs = [0; 30];
        limbs[0] = 1;
        limbs[10] = 1;
        Self(limbs)
    };

    fn new(x: Field, y: Field) -> Self {
        let mut limbs = [0; 30];
        let fields = [y + x, y - x, x * y * Field::D2];
        for (chunk, field) in limbs.as_chunks_mut().0.iter_mut().zip(fields) {
            *chunk = field.0;
        }
        Self(limbs)
    }

    fn fields(&self) -> [Field; 3] {
        let (chunks, _) = self.0.as_chunks();
        [Field(chunks[0]), Field(chunks[1]), Field(chunks[2])]
    }

    /// Minus the point when `sign` is one.
    fn negate_if(&mut self, sign: u8) {
        let mask = mask(sign);
        let (first, last) = self.0.split_at_mut(20);
        let (plus, minus) = first.split_at_mut(10);
        for (plus, minus) in plus.iter_mut().zip(minus) {
            let difference = mask & (*plus ^ *minus);
            *plus ^= difference;
            *minus ^= difference;
        }
        for limb in last {
            *limb = (*limb ^ mask) - mask;
        }
    }
}

/// Multiples of one point.
///
/// A number is written with 64 digits from -8 to 8 to the base of 16. Table t holds 1 to 8 times `16^(STEP * t)` times the
/// point, where `STEP = 64 / TABLES`, and serves the digits from `STEP * t` on: their sums for one remainder after the
/// other are put together with four doublings between them. More tables are more memory and fewer doublings.
pub(crate) struct Comb<const TABLES: usize>(Box<[[AffineCached; 8]]>);

impl<const TABLES: usize> Comb<TABLES> {
    const STEP: usize = DIGITS / TABLES;

    /// Prepares the multiples of `point`. All inversions are made as one.
    pub fn new(point: Point) -> Self {
        let mut multiples = Vec::with_capacity(8 * TABLES);
        let mut base = point;
        for table in 0..TABLES {
            if table > 0 {
                base = base.double_times(4 * Self::STEP);
            }
            let cached = base.to_cached();
            let mut multiple = base;
            multiples.push(multiple);
            for _ in 1..8 {
                multiple = multiple.add(&cached);
                multiples.push(multiple);
            }
        }
        // The products of all Z up to each; then the inverse of the last is taken apart again.
        let mut products = Vec::with_capacity(multiples.len());
        let mut product = Field::ONE;
        for multiple in &multiples {
            products.push(product);
            product = product * multiple.z;
        }
        let mut inverse = product.invert();
        let mut tables = alloc::vec![[AffineCached::IDENTITY; 8]; TABLES].into_boxed_slice();
        let entries = tables.as_flattened_mut().iter_mut();
        for ((multiple, product), entry) in multiples.iter().zip(&products).zip(entries).rev() {
            let z_inverse = inverse * *product;
            inverse = inverse * multiple.z;
            *entry = AffineCached::new(multiple.x * z_inverse, multiple.y * z_inverse);
        }
        Self(tables)
    }

    /// `scalar` times the point, in constant time. `scalar` is little-endian and below 2^253.
    pub fn multiply(&self, scalar: &[u8; 32]) -> Point {
        let digits = digits(scalar);
        let mut sum = Point::IDENTITY;
        for remainder in (0..Self::STEP).rev() {
            if remainder + 1 < Self::STEP {
                sum = sum.double_times(4);
            }
            for (table, digits) in self.0.iter().zip(digits.chunks_exact(Self::STEP)) {
                sum = sum.add_affine(&select(table, digits[remainder]));
            }
        }
        sum
    }
}

/// The table of a key that is used again and again: 8 parts of 960 bytes. Four times as many would make a
/// multiplication a quarter cheaper and the table twice as dear.
pub struct KeyTable(Comb<8>);

impl KeyTable {
    /// Prepares the multiples of `point`.
    #[inline(never)]
    pub fn new(point: Point) -> Self {
        Self(Comb::new(point))
    }

    /// The u-coordinate of `scalar` times the point, in constant time. `scalar` is little-endian and below 2^253.
    #[inline(never)]
    pub fn multiply(&self, scalar: &[u8; 32]) -> [u8; 32] {
        self.0.multiply(scalar).to_u()
    }
}

/// The table of the base point, which every packet needs: 32 parts of 960 bytes.
pub struct BaseTable(Comb<32>);

impl BaseTable {
    /// Prepares the multiples of `point`.
    #[inline(never)]
    pub fn new(point: Point) -> Self {
        Self(Comb::new(point))
    }

    /// As [`KeyTable::multiply`].
    #[inline(never)]
    pub fn multiply(&self, scalar: &[u8; 32]) -> [u8; 32] {
        self.0.multiply(scalar).to_u()
    }
}

/// `digit` times the first entry, looking at all entries. `digit` is between -8 and 8.
fn select(table: &[AffineCached; 8], digit: i8) -> AffineCached {
    let sign = (digit as u8) >> 7;
    let magnitude = ((digit ^ -(sign as i8)) + sign as i8) as u8;
    let mut selected = AffineCached([0; 30]);
    for (i, entry) in (0_u8..).zip([&AffineCached::IDENTITY].into_iter().chain(table)) {
        // One when the two are equal: only then does subtracting one borrow.
        let mask = mask(((u32::from(i ^ magnitude)).wrapping_sub(1) >> 31) as u8);
        for (limb, entry) in selected.0.iter_mut().zip(&entry.0) {
            *limb |= entry & mask;
        }
    }
    selected.negate_if(sign);
    selected
}

/// The digits of a number below 2^253 to the base of 16, each between -8 and 8, least first.
fn digits(scalar: &[u8; 32]) -> Zeroizing<[i8; DIGITS]> {
    let mut digits = Zeroizing::new([0; DIGITS]);
    for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(scalar) {
        *pair = [(byte & 15) as i8, (byte >> 4) as i8];
    }
    let mut carry = 0;
    for digit in digits.iter_mut() {
        *digit += carry;
        carry = (*digit + 8) >> 4;
        *digit -= carry << 4;
    }
    digits
}

const DIGITS: usize = 64;
