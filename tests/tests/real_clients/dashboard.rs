//! The dashboard in Chromium, with a scripted admin API.

use relay_tests::Browser;

#[tokio::test]
async fn the_dashboard_works_in_a_browser() {
    let Some(browser) = Browser::find() else { return };
    browser.run(&[]).await;
}
