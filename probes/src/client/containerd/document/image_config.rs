//! What the configuration of an image must be for its layers to be unpacked.
//!
//! Source: containerd `core/unpack/unpacker.go`, `core/images/image.go` (`ConfigPlatform`) and `client/image.go`
//! (`getLayers`).

use serde_json::value::RawValue;

use super::{
    Contents, Descriptor, image_spec,
    index::{BuiltFor, mismatch},
    malformed,
};
use crate::{
    client::containerd::stop::{Class, GoError},
    net::inert::excerpt,
    node::ContainerdRelease,
    stages::http::{
        fault::HttpFault,
        go_json::{list, object, text},
    },
    words::{digest::Digest, platform::Platform},
};

/// Whether the image of `config` can be unpacked on `node` by `release`. `of_index` is the entry of the index that led here:
/// where that says nothing of its platform, the configuration's counts.
pub(crate) fn check_config(
    config: &[u8],
    contents: &Contents,
    of_index: Option<&Descriptor>,
    node: &Platform,
    release: ContainerdRelease,
) -> Result<(), GoError> {
    let text = String::from_utf8_lossy(config);
    let image = image_config(&text)?;
    image_spec::IMAGE.check(Some(image))?;
    // What unpacks while layers come does nothing without one. Another part of the client looks later, and has taken
    // content of all kinds for layers before 1.6.25 and 1.7.7; the transfer service has no such part.
    if contents.is_unpacked(release) || !release.pulls_by_transfer() {
        check_layers(image, contents, release)?;
    }
    if of_index.is_some_and(|entry| entry.platform.is_none()) {
        let built_for = BuiltFor::read(Some(image), release)?;
        if let Some(other) = built_for.filter(|built_for| built_for.rank(node).is_none()) {
            return Err(mismatch("manifest …", node, &[other]));
        }
    }
    Ok(())
}

/// Whether the layers of an image can be unpacked that the client fetches beside the node's.
pub(crate) fn check_beside(
    config: &[u8],
    contents: &Contents,
    release: ContainerdRelease,
) -> Result<(), GoError> {
    match contents.is_unpacked(release) {
        true => check_layers(
            image_config(&String::from_utf8_lossy(config))?,
            contents,
            release,
        ),
        false => Ok(()),
    }
}

fn image_config(text: &str) -> Result<&RawValue, GoError> {
    serde_json::from_str(text).map_err(|_| malformed("unmarshal image config"))
}

fn check_layers(
    image: &RawValue,
    contents: &Contents,
    release: ContainerdRelease,
) -> Result<(), GoError> {
    let image = object(Some(image), &["rootfs"])?;
    let rootfs = object(image.get("rootfs"), &["diff_ids"])?;
    let diff_ids = list(rootfs.get("diff_ids"))?;
    let (layers, ids) = (contents.layers_for(release), diff_ids.len());
    if layers != ids {
        let text = match (layers, contents.layers.len()) {
            (0, 0) => Some("mismatched image rootfs and manifest layers".to_owned()),
            (0, _) => None,
            _ => Some(format!(
                "number of layers and diffIDs don't match: {layers} != {ids}"
            )),
        };
        let error = GoError {
            text,
            ..GoError::untold(Class::Other)
        };
        return Err(error.with_content(HttpFault::Malformed(format!(
            "a configuration for {ids} layers, and a manifest with {layers}"
        ))));
    }
    for id in diff_ids {
        let id = text(Some(id))?;
        // It is compared with what the layer unpacked has.
        if !Digest::parse(&id).is_some_and(|digest| digest.is_sha256()) {
            let what = format!("{} in a configuration is no digest", excerpt(id.as_bytes()));
            return Err(GoError::untold(Class::Other).with_content(HttpFault::Malformed(what)));
        }
    }
    Ok(())
}
