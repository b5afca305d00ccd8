//! For tests of decoders: broken messages, the same at every run.

/// Calls `decode` with `good` cut at each length, with each byte and random pairs of bytes changed, and with plain noise. It
/// must return, that is all: no panic, no loop, no allocation that the message alone asks for.
pub fn mutations(good: &[u8], mut decode: impl FnMut(&[u8])) {
    for length in 0..good.len() {
        decode(&good[..length]);
    }
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for place in 0..good.len() {
        for value in [0, 1, 0x7f, 0x80, 0xfe, 0xff, noise.byte()] {
            let mut bytes = good.to_vec();
            bytes[place] = value;
            decode(&bytes);
            let other = noise.below(good.len());
            bytes[other] = noise.byte();
            decode(&bytes);
        }
    }
    for round in 0..5000 {
        let bytes: Vec<u8> = (0..noise.below(1 + round % 300)).map(|_| noise.byte()).collect();
        decode(&bytes);
    }
}

/// xorshift64* (Marsaglia 2003, Vigna 2016).
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()])) % end.max(1)
    }
}
