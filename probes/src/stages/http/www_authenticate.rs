//! Parses `WWW-Authenticate` (RFC 9110, section 11.6.1): any number of challenges in any number of
//! header lines, tokens and quoted strings, names in any case. It does not know what a scheme means.

/// One challenge: a scheme and its parameters, names in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthChallenge {
    /// The scheme, such as `bearer`.
    pub scheme: String,
    /// In the order in which they are written; a `token68` is left out.
    pub parameters: Vec<(String, String)>,
}

impl AuthChallenge {
    /// The first parameter of this name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// All challenges of one header line. Parsing stops at what cannot be read; what came before it counts.
pub(crate) fn parse(header: &str) -> Vec<AuthChallenge> {
    let mut reader = Reader { rest: header };
    let mut challenges: Vec<AuthChallenge> = Vec::new();
    loop {
        reader.skip_separators();
        let Some(word) = reader.token() else {
            return challenges;
        };
        reader.skip_spaces();
        match (reader.take('='), challenges.last_mut()) {
            (true, Some(challenge)) => {
                reader.skip_spaces();
                let Some(value) = reader.value() else {
                    return challenges;
                };
                challenge
                    .parameters
                    .push((word.to_ascii_lowercase(), value));
            }
            (true, None) => return challenges,
            (false, _) => {
                challenges.push(AuthChallenge {
                    scheme: word.to_ascii_lowercase(),
                    parameters: Vec::new(),
                });
                reader.skip_token68();
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn token(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    fn value(&mut self) -> Option<String> {
        match self.take('"') {
            true => self.quoted(),
            false => self.token().map(str::to_owned),
        }
    }

    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(letters.next()?.1),
                letter => value.push(letter),
            }
        }
        None
    }

    /// `Negotiate dG9rZW4=`: one opaque value in place of parameters.
    fn skip_token68(&mut self) {
        let is_token68 = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        let end = self
            .rest
            .find(|c| !is_token68(c))
            .unwrap_or(self.rest.len());
        let (run, after) = self.rest.split_at(end);
        let after = after.trim_start_matches([' ', '\t']);
        let stands_alone = after.is_empty() || after.starts_with(',');
        if stands_alone && !run.trim_end_matches('=').contains('=') {
            self.rest = after;
        }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn skip_separators(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }

    fn take(&mut self, letter: char) -> bool {
        let rest = self.rest.strip_prefix(letter);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Vec<String> {
        let challenges = parse(header).into_iter().map(|challenge| {
            let parameters = challenge.parameters.iter().map(|(k, v)| format!("{k}={v}"));
            format!(
                "{}[{}]",
                challenge.scheme,
                parameters.collect::<Vec<_>>().join(";")
            )
        });
        challenges.collect()
    }

    #[test]
    fn legal_forms() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://contoso.azurecr.io/oauth2/token",service="contoso.azurecr.io""#,
                &[
                    "bearer[realm=https://contoso.azurecr.io/oauth2/token;service=contoso.azurecr.io]",
                ][..],
            ),
            (
                r#"bEaReR SERVICE=s , Realm = "r""#,
                &["bearer[service=s;realm=r]"],
            ),
            (
                r#"Basic realm="a, b", Bearer realm="r""#,
                &["basic[realm=a, b]", "bearer[realm=r]"],
            ),
            (
                r#"Negotiate, Bearer realm="r""#,
                &["negotiate[]", "bearer[realm=r]"],
            ),
            (
                r#"Negotiate dG9rZW4=, Bearer realm="r""#,
                &["negotiate[]", "bearer[realm=r]"],
            ),
            (
                r#"Bearer realm="say \"hi\"""#,
                &[r#"bearer[realm=say "hi"]"#],
            ),
            (
                r#",, Bearer ,realm="r",, scope="a b""#,
                &["bearer[realm=r;scope=a b]"],
            ),
            ("Bearer", &["bearer[]"]),
            ("", &[]),
        ] {
            assert_eq!(read(header), expected, "{header}");
        }
    }

    #[test]
    fn parsing_stops_at_what_cannot_be_read() {
        for (header, expected) in [
            (r#"Bearer realm="never closed"#, &["bearer[]"][..]),
            (r#"Bearer realm="r\"#, &["bearer[]"]),
            (r#"Bearer realm=, service="s""#, &["bearer[service=s]"]),
            ("=", &[]),
            ("realm=x", &[]),
            ("Bearer \u{e9}", &["bearer[]"]),
        ] {
            assert_eq!(read(header), expected, "{header}");
        }
    }
}
