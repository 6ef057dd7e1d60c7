//! Bytes read as numbers, pieces and choices. When they run out, zeros follow, so that any bytes mean something.

use mixlet::time::Duration;

/// What is left of the bytes.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// A byte below `end`.
    pub fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let piece = self.take(N);
        array[..piece.len()].copy_from_slice(piece);
        array
    }

    /// So many bytes, or what there is.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (piece, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        piece
    }

    /// A piece with its length in front: one byte below 32, or three for longer ones.
    pub fn piece(&mut self) -> &'a [u8] {
        let len = match self.byte() {
            LONG => self.u16(),
            len => u16::from(len % 32),
        };
        self.take(len.into())
    }

    /// Everything up to the next byte of `end`, which is dropped, or all there is.
    pub fn until(&mut self, end: u8) -> &'a [u8] {
        let at = self.0.iter().position(|byte| *byte == end);
        let piece = self.take(at.unwrap_or(self.0.len()));
        self.take(1);
        piece
    }

    /// One of `choices`.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// A time that means something to somebody, from nothing to days, or near it.
    pub fn time(&mut self) -> Duration {
        let millis = self.choose(&[0, 1, 20, 20, 100, 500, 1_000, 1_700, 1_900, 2_100, 5_000, 10_000, 60_000, 700_000]);
        let long = self.choose(&[1, 1, 1, 1, 1, 1, 3, 3_600]);
        Duration::from_millis(millis) * long + Duration::from_micros(self.byte().into())
    }
}

/// The first byte of a piece whose length follows.
pub const LONG: u8 = 255;
