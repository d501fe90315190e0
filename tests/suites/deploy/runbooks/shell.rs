//! Splits a shell script into its simple commands, as far as the runbooks use the shell: quotes,
//! substitutions, pipes, loops, here-documents.

use std::iter::Peekable;
use std::str::Chars;

/// Words that stand before a command.
const BEFORE: [&str; 8] = ["do", "then", "else", "if", "while", "!", "{", "time"];

/// The words of each simple command, without assignments; redirections are words.
pub(super) fn commands(script: &str) -> Vec<Vec<String>> {
    let script = without_documents(script);
    let mut all = Vec::new();
    list(&mut script.chars().peekable(), None, &mut all);
    all.into_iter().filter_map(simple).collect()
}

/// Leaves out the lines of here-documents.
fn without_documents(script: &str) -> String {
    let mut kept = String::new();
    let mut until = None;
    for line in script.lines() {
        match until {
            Some(end) if line == end => until = None,
            Some(_) => {}
            None => {
                until = line.split_once("<<").map(|(_, end)| end);
                kept.push_str(line);
                kept.push('\n');
            }
        }
    }
    kept
}

fn list(chars: &mut Peekable<Chars<'_>>, end: Option<char>, all: &mut Vec<Vec<String>>) {
    let (mut words, mut word) = (Vec::new(), String::new());
    while let Some(char) = chars.next().filter(|char| Some(*char) != end) {
        match char {
            '\\' => word.extend(chars.next().filter(|char| *char != '\n')),
            '\'' => word.extend(chars.by_ref().take_while(|char| *char != '\'')),
            '"' => quoted(chars, &mut word, all),
            '$' if chars.peek() == Some(&'(') => substitution(chars, &mut word, all),
            '(' => list(chars, Some(')'), all),
            '#' if word.is_empty() => while chars.next_if(|char| *char != '\n').is_some() {},
            '&' if word.ends_with('>') => word.push(char),
            ' ' | '\n' | ';' | '|' | '&' => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                if char != ' ' {
                    all.push(std::mem::take(&mut words));
                }
            }
            _ => word.push(char),
        }
    }
    words.push(word);
    all.push(words);
}

fn quoted(chars: &mut Peekable<Chars<'_>>, word: &mut String, all: &mut Vec<Vec<String>>) {
    while let Some(char) = chars.next().filter(|char| *char != '"') {
        match char {
            '\\' => word.extend(chars.next()),
            '$' if chars.peek() == Some(&'(') => substitution(chars, word, all),
            _ => word.push(char),
        }
    }
}

fn substitution(chars: &mut Peekable<Chars<'_>>, word: &mut String, all: &mut Vec<Vec<String>>) {
    chars.next();
    word.push_str("$()");
    list(chars, Some(')'), all);
}

/// A command without what stands before it.
fn simple(words: Vec<String>) -> Option<Vec<String>> {
    let assigns = |word: &str| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
    };
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut words: Vec<_> = words
        .by_ref()
        .skip_while(|word| BEFORE.contains(&&**word) || assigns(word))
        .collect();
    if words.first().is_some_and(|first| first == "timeout") {
        words.drain(..2.min(words.len()));
    }
    let first = words.first()?;
    let is_syntax = ["for", "done", "fi", "}"].contains(&&**first);
    (!is_syntax).then_some(words)
}
