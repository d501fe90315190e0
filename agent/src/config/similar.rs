//! Finds the word that was probably meant.

/// The least similarity for a suggestion; clap uses the same for its hints.
const SIMILAR: f64 = 0.7;

/// The word most similar to `typed`, in upper or lower case, if any is similar at all. Of equals the first.
pub(crate) fn most_similar<'a>(
    typed: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let similarity = |word: &str| strsim::jaro_winkler(&typed, &word.to_lowercase());
    let rated = words.into_iter().map(|word| (similarity(word), word));
    let similar = rated.filter(|(similarity, _)| *similarity > SIMILAR);
    similar
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, word)| word)
}
