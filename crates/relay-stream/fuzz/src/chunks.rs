//! Streams with valid checksums, and chunks.

/// Gives every frame in `stream` possible lengths and right checksums, so that the fuzzer reaches the code
/// after these checks. From the first frame with a set top bit on, the stream is unchanged.
pub fn repair(stream: &mut [u8]) {
    let mut rest = stream;
    while rest.len() >= 16 {
        let seed = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
        if seed >> 31 == 1 {
            return;
        }
        let total = 16 + (seed as usize) % (rest.len() - 15);
        let headers = u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize % (total - 15);
        let (frame, after) = rest.split_at_mut(total);
        frame[..4].copy_from_slice(&(total as u32).to_be_bytes());
        frame[4..8].copy_from_slice(&(headers as u32).to_be_bytes());
        let checksum = crc32fast::hash(&frame[..8]);
        frame[8..12].copy_from_slice(&checksum.to_be_bytes());
        let checksum = crc32fast::hash(&frame[..total - 4]);
        frame[total - 4..].copy_from_slice(&checksum.to_be_bytes());
        rest = after;
    }
}

/// Cuts `stream` into chunks of the sizes in `sizes`, repeatedly. Without sizes the stream is one chunk.
pub fn cut<'a>(mut stream: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = sizes.next().map_or(usize::MAX, |&size| usize::from(size) + 1);
        let (piece, rest) = stream.split_at(size.min(stream.len()));
        stream = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Splits an input into the sizes of the chunks and the stream.
pub fn sizes_and_stream(input: &[u8]) -> (&[u8], &[u8]) {
    let len = input.first().map_or(0, |&byte| usize::from(byte % 8));
    let input = input.get(1..).unwrap_or_default();
    input.split_at(len.min(input.len()))
}
