//! The layer that fetches images by URL. Without the feature `fetch-images` there is none.

use relay_config::ProviderConfig;
use relay_transport::TrustRoots;

use crate::build_error::BuildError;

#[cfg(feature = "fetch-images")]
pub(super) type ImageLayer = relay_providers::FetchLayer;
#[cfg(not(feature = "fetch-images"))]
pub(super) type ImageLayer = tower::layer::util::Identity;

/// Builds the layer of `provider`, which changes nothing unless `fetch_images` is set.
#[cfg(feature = "fetch-images")]
pub(super) fn image_layer(provider: &ProviderConfig, roots: &TrustRoots) -> Result<ImageLayer, BuildError> {
    let fetcher = provider.fetch_images.then(|| relay_transport::Fetcher::new(roots)).transpose();
    let fetcher =
        fetcher.map_err(|source| BuildError::Tls { provider: provider.name.to_string(), source })?;
    Ok(ImageLayer::new(fetcher))
}

/// Refuses `fetch_images`.
#[cfg(not(feature = "fetch-images"))]
pub(super) fn image_layer(provider: &ProviderConfig, _: &TrustRoots) -> Result<ImageLayer, BuildError> {
    match provider.fetch_images {
        true => Err(BuildError::feature(provider, "fetch_images: true", "fetch-images")),
        false => Ok(ImageLayer::new()),
    }
}
