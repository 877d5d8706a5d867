//! Makes new inputs out of old ones, the same in every run.

/// Inputs stay shorter than this, so that a run stays short.
const MAX_LEN: usize = 4096;

/// Pieces at which decoders branch: numbers at the ends of their ranges, headers that announce
/// much, and the words of the protocols.
const PIECES: &[&[u8]] = &[
    b"\x00",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\x7e\xff\xff",
    b"\x7f\x00\x00\x01\x00\x00\x00\x00\x00",
    b"\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\x00\x00\x01\x00",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\x00\x00\x00\x10",
    b"\x91\x91\x91\x91\x91\x91\x91\x91",
    b"\xc4\x00",
    b"\xc7\x01\x00x",
    b"\xd4\x00\x00",
    b"\xd7\x00\x00\x00\x01\x94\x1f\x29\x78\x93",
    b"\xa4type",
    b"\xa4data",
    b"\xa2id",
    b"\xa3nsp\xa1/",
    b"\xac_placeholder\xc3",
    b"\x1e",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"]]]]]]]]",
    b"{\"_placeholder\":true,\"num\":0}",
    b"{\"_placeholder\":true,\"num\":1}",
    b"\"_placeholder\":true",
    b"\"num\":-1",
    b"\\ud800",
    b"\\u0000",
    b"\\",
    b"\"",
    b",",
    b":",
    b"{}",
    b"null",
    b"1e999",
    b"-0",
    b"9007199254740992",
    b"1000000000-",
    b"18446744073709551616",
    b"/nsp,",
    b"2[\"a\"]",
    b"51-",
    b"EIO=4&",
    b"&sid=",
    b"transport=polling",
];

/// SplitMix64 by Steele, Lea and Flood: short, and good enough to choose with.
struct Numbers(u64);

impl Numbers {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not zero.
    const fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A stretch of a list of `len`, mostly short, possibly empty.
    fn stretch(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let most = (len - start).min(1 << self.below(9));
        start..start + self.below(most + 1)
    }
}

pub(crate) struct Mutator<'a> {
    numbers: Numbers,
    seeds: Vec<&'a [u8]>,
}

impl<'a> Mutator<'a> {
    /// Of the same target come the same mutations.
    pub(crate) fn new(target: &str, seeds: impl Iterator<Item = &'a [u8]>) -> Self {
        let start = target.bytes().fold(7, |hash: u64, byte| {
            hash.wrapping_mul(0x0100_0000_01b3).wrapping_add(byte.into())
        });
        Self { numbers: Numbers(start), seeds: seeds.collect() }
    }

    /// One to four changes of a seed.
    pub(crate) fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut input = seed.to_vec();
        for _ in 0..=self.numbers.below(4) {
            self.change(&mut input);
        }
        input.truncate(MAX_LEN);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let numbers = &mut self.numbers;
        let at = numbers.below(input.len() + 1);
        match numbers.below(9) {
            // A bit, a byte, a byte that is one more or less.
            0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            1 if at < input.len() => input[at] = numbers.next() as u8,
            2 if at < input.len() => {
                input[at] = input[at].wrapping_add(if numbers.below(2) == 0 { 1 } else { 255 });
            }
            3 => input.truncate(at),
            4 => drop(input.drain(numbers.stretch(input.len()))),
            5 => {
                let copy = input[numbers.stretch(input.len())].to_vec();
                input.splice(at..at, copy);
            }
            // A piece put in, or laid over what is there.
            6 => {
                let piece = PIECES[numbers.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
            7 => {
                let piece = PIECES[numbers.below(PIECES.len())];
                let end = (at + piece.len()).min(input.len());
                input.splice(at..end, piece.iter().copied());
            }
            // The rest, or a part, of another seed.
            _ => {
                let other = self.seeds[numbers.below(self.seeds.len())];
                let part = &other[numbers.stretch(other.len())];
                let end = if numbers.below(2) == 0 { at } else { input.len() };
                input.splice(at..end, part.iter().copied());
            }
        }
    }
}
