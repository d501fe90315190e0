//! The types that containerd's decoder wants in the documents of an image.
//!
//! Source: `opencontainers/image-spec` `specs-go/v1`.

use crate::stages::http::go_shape::Shape::{
    self, Bool, Bytes, List, Map, Number, Object, Text, Time,
};

pub(super) const MANIFEST: Shape = Object(&[
    ("schemaVersion", Number),
    ("mediaType", Text),
    ("artifactType", Text),
    ("config", DESCRIPTOR),
    ("layers", List(&DESCRIPTOR)),
    ("subject", DESCRIPTOR),
    ("annotations", Map(&Text)),
]);

pub(super) const INDEX: Shape = Object(&[
    ("schemaVersion", Number),
    ("mediaType", Text),
    ("artifactType", Text),
    ("manifests", List(&DESCRIPTOR)),
    ("subject", DESCRIPTOR),
    ("annotations", Map(&Text)),
]);

/// A configuration: the node's runtime reads all of it when the image is there.
pub(super) const IMAGE: Shape = Object(&[
    ("created", Time),
    ("author", Text),
    ("architecture", Text),
    ("os", Text),
    ("os.version", Text),
    ("os.features", List(&Text)),
    ("variant", Text),
    ("config", CONFIG),
    (
        "rootfs",
        Object(&[("type", Text), ("diff_ids", List(&Text))]),
    ),
    ("history", List(&HISTORY)),
]);

const DESCRIPTOR: Shape = Object(&[
    ("mediaType", Text),
    ("digest", Text),
    ("size", Number),
    ("urls", List(&Text)),
    ("annotations", Map(&Text)),
    ("data", Bytes),
    ("platform", PLATFORM),
    ("artifactType", Text),
]);

const PLATFORM: Shape = Object(&[
    ("architecture", Text),
    ("os", Text),
    ("os.version", Text),
    ("os.features", List(&Text)),
    ("variant", Text),
]);

const CONFIG: Shape = Object(&[
    ("User", Text),
    ("ExposedPorts", Map(&Object(&[]))),
    ("Env", List(&Text)),
    ("Entrypoint", List(&Text)),
    ("Cmd", List(&Text)),
    ("Volumes", Map(&Object(&[]))),
    ("WorkingDir", Text),
    ("Labels", Map(&Text)),
    ("StopSignal", Text),
    ("ArgsEscaped", Bool),
]);

const HISTORY: Shape = Object(&[
    ("created", Time),
    ("created_by", Text),
    ("author", Text),
    ("comment", Text),
    ("empty_layer", Bool),
]);

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn one_wrong_value_fails_a_document() {
        #[rustfmt::skip]
        let table = [
            (IMAGE, r#"{"created":"2026-01-02T03:04:05Z","config":{"Env":["a"],"Volumes":{"/a":{}}},"x":1}"#, true),
            (IMAGE, r#"{"created":null,"config":null,"history":[{"empty_layer":true},null]}"#, true),
            (IMAGE, r#"{"created":"9999-12-31T23:59:59Z"}"#, true),
            (IMAGE, r#"{"created":"2026-01-02T03:04:05+24:00"}"#, true),
            (IMAGE, r#"{"created":"2026-01-02T03:04:05+0100"}"#, false),
            (IMAGE, r#"{"created":""}"#, false),
            (IMAGE, r#"{"created":1}"#, false),
            (IMAGE, r#"{"created":1,"created":null}"#, false),
            (IMAGE, r#"{"config":{"Volumes":["/a"]}}"#, false),
            (IMAGE, r#"{"config":{"labels":{"a":1}}}"#, false),
            (IMAGE, r#"{"history":[{"empty_layer":"yes"}]}"#, false),
            (MANIFEST, r#"{"schemaVersion":2,"annotations":{"a":"b"},"layers":[{"data":"e30="}]}"#, true),
            (MANIFEST, r#"{"schemaVersion":"2"}"#, false),
            (MANIFEST, r#"{"layers":[{"data":"e30"}]}"#, false),
            (MANIFEST, r#"{"layers":[{"data":[1,null]}]}"#, true),
            (MANIFEST, r#"{"layers":[{"data":[256]}]}"#, false),
            (INDEX, r#"{"manifests":[{"platform":{"os.features":["a"]}}]}"#, true),
            (INDEX, r#"{"manifests":[{"platform":{"os.features":"a"}}]}"#, false),
        ];
        for (shape, text, fits) in table {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(shape.check(Some(raw)).is_ok(), fits, "{text}");
        }
    }
}
