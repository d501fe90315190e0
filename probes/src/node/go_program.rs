//! What a Go program was built from, as Go leaves it in each (`debug/buildinfo` in its library).

use std::io::{self, Read, Seek, SeekFrom};

/// Where it is: after a header the version of Go, and the modules, each after its length.
const SECTION: &[u8] = b".go.buildinfo\0";
const HEADER: usize = 32;
/// Go frames the list of modules in as many bytes before and after.
const FRAME: usize = 16;
/// No part of a program that is read here is larger.
const MAX_PART: u64 = 256 * 1024;
/// The size of a section's header in an ELF file of 64 bits.
const SECTION_HEADER: usize = 64;

/// What `go version -m` shows of a program: a line with its Go, as `go\tgo1.24.4`, and a line for each module and
/// setting. `None` if Go did not build it.
pub(super) fn build_info(program: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    let Some(section) = section(program)? else {
        return Ok(None);
    };
    let modules = || {
        let (go, rest) = prefixed(section.get(HEADER..)?)?;
        let (framed, _) = prefixed(rest)?;
        let modules = framed.get(FRAME..framed.len().checked_sub(FRAME)?)?;
        let [go, modules] = [go, modules].map(String::from_utf8_lossy);
        Some(format!("go\t{go}\n{modules}"))
    };
    Ok(modules())
}

/// The `24` of `go1.24.4`.
pub(super) fn minor(go: &str) -> Option<u16> {
    let rest = go.strip_prefix("go1.")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// Go's section of an ELF file of 64 bits, little-endian, as on every processor that regprobe is built for.
fn section(program: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let head = part(program, 0, SECTION_HEADER as u64)?;
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    let (count, names) = (number(&head, 60, 2), number(&head, 62, 2) as usize);
    let headers = part(program, number(&head, 40, 8), count * SECTION_HEADER as u64)?;
    let headers: Vec<_> = headers.chunks_exact(SECTION_HEADER).collect();
    let mut content = |header: &[u8]| part(program, number(header, 24, 8), number(header, 32, 8));
    let Some(names) = headers.get(names) else {
        return Ok(None);
    };
    let names = content(names)?;
    let is_wanted = |header: &&&[u8]| {
        let name = names.get(number(header, 0, 4) as usize..);
        name.is_some_and(|name| name.starts_with(SECTION))
    };
    headers
        .iter()
        .find(is_wanted)
        .map(|header| content(header))
        .transpose()
}

/// A little-endian number of `size` bytes; 0 if it is not there.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let bytes = bytes.get(at..at + size).unwrap_or_default();
    let digits = bytes.iter().rev();
    digits.fold(0, |number, digit| number << 8 | u64::from(*digit))
}

/// A part of a file, as far as it is there.
fn part(file: &mut (impl Read + Seek), at: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(size.min(MAX_PART)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Bytes after their length, a varint, and what follows them.
fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return bytes.get(place + 1..)?.split_at_checked(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with nothing but the names of its sections and Go's.
    fn program() -> Vec<u8> {
        let names = [b"\0.names\0", SECTION].concat();
        let frame = [b'f'; FRAME];
        let modules = [&frame[..], b"path\tab\n", &frame].concat();
        let info = [
            &[0; HEADER][..],
            b"\x05go1.1",
            &[modules.len() as u8],
            &modules,
        ]
        .concat();
        let (first, second) = (64_u64, 64 + names.len() as u64);
        let mut program = b"\x7fELF\x02\x01".to_vec();
        program.resize(40, 0);
        program.extend((second + info.len() as u64).to_le_bytes());
        program.resize(60, 0);
        program.extend([2, 0, 0, 0]);
        program.extend([&names[..], &info].concat());
        for (name, at, size) in [(1_u32, first, names.len()), (8, second, info.len())] {
            let mut header = name.to_le_bytes().to_vec();
            header.resize(24, 0);
            header.extend(at.to_le_bytes());
            header.extend((size as u64).to_le_bytes());
            header.resize(SECTION_HEADER, 0);
            program.extend(header);
        }
        program
    }

    #[test]
    fn a_program_tells_its_modules_and_half_of_one_nothing() {
        let whole = program();
        let modules = |bytes: &[u8]| build_info(&mut io::Cursor::new(bytes)).unwrap();
        assert_eq!(modules(&whole).as_deref(), Some("go\tgo1.1\npath\tab\n"));
        for end in 0..whole.len() - 1 {
            assert_eq!(modules(&whole[..end]), None, "{end}");
        }
        assert_eq!(modules(b"#!/bin/sh\nexec containerd"), None);
    }

    #[test]
    fn no_number_of_a_broken_program_leads_astray() {
        let whole = program();
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] = 0xff;
            let _ = build_info(&mut io::Cursor::new(broken));
        }
    }

    #[test]
    fn versions_of_go() {
        for (text, meant) in [
            ("go1.19.8", Some(19)),
            ("go1.27", Some(27)),
            ("go1.24rc1 X:nocoverageredesign", Some(24)),
            ("devel +1234", None),
            ("go2.0", None),
        ] {
            assert_eq!(minor(text), meant, "{text}");
        }
    }
}
