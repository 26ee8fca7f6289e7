//! Pages for people who follow links that do not lead on: each at most 2 KiB, in English or Chinese. Pure.
//!
//! No page holds anything of a link, nor of the request: there is nothing to escape.

use axum::http::{HeaderMap, HeaderValue, header};

/// Policy of the pages: a style of their own, a form, and nothing from elsewhere. There is no `form-action`: browsers
/// hold what a form is redirected to against it, and that is the target.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// Page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// No such link.
    Unknown,
    /// The link is over: deleted, expired or used up.
    Over,
    /// An operator turned the link off.
    Blocked,
    /// The visitor is asked for the password.
    Ask,
    /// The visitor is asked again.
    AskAgain,
    /// A link whose target is not shown.
    Veiled,
    /// Too many tries.
    Wait,
}

/// Language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

impl Language {
    /// The language that the visitor likes better, as `Accept-Language` tells.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        let mut best = (0.0, Self::English);
        for one in lines.flat_map(|line| line.split(',')) {
            let mut parts = one.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            let language = match tag.split('-').next() {
                Some("zh") => Self::Chinese,
                Some("en") => Self::English,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }
}

/// Title and sentence of a page.
const fn words(page: Page, language: Language) -> (&'static str, &'static str) {
    use Language::{Chinese, English};
    match (page, language) {
        (Page::Unknown, English) => {
            ("No such link", "There is no link at this address. Check it for a typing mistake.")
        }
        (Page::Unknown, Chinese) => ("链接不存在", "此地址没有对应的链接，请检查是否输入有误。"),
        (Page::Over, English) => {
            ("This link is over", "It was deleted, has expired, or was used as often as it may be.")
        }
        (Page::Over, Chinese) => ("链接已失效", "此链接已被删除、已过期，或已达到访问次数上限。"),
        (Page::Blocked, English) => ("This link is turned off", "The operator of this service has blocked it."),
        (Page::Blocked, Chinese) => ("链接已停用", "本服务的运营者已屏蔽此链接。"),
        (Page::Ask, English) => ("This link has a password", "Enter the password to go on."),
        (Page::Ask, Chinese) => ("此链接需要密码", "请输入密码以继续。"),
        (Page::AskAgain, English) => ("That was not the password", "Try again."),
        (Page::AskAgain, Chinese) => ("密码错误", "请重试。"),
        (Page::Veiled, English) => ("A link", "Open it in a browser to see where it leads."),
        (Page::Veiled, Chinese) => ("链接", "请在浏览器中打开以查看其去向。"),
        (Page::Wait, English) => ("Too many tries", "Come back in a while."),
        (Page::Wait, Chinese) => ("尝试次数过多", "请稍后再试。"),
    }
}

/// HTML of a page.
#[must_use]
pub fn html(page: Page, language: Language) -> String {
    let (title, sentence) = words(page, language);
    let form = match (page, language) {
        (Page::Ask | Page::AskAgain, Language::English) => form("Password", "Go on"),
        (Page::Ask | Page::AskAgain, Language::Chinese) => form("密码", "继续"),
        _ => String::new(),
    };
    format!(
        "<!doctype html><html lang=\"{}\"><meta charset=\"utf-8\"><meta name=\"robots\" content=\"noindex\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>\
         :root{{color-scheme:light dark}}body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;\
         margin:20vh auto;padding:0 1.5rem}}h1{{font-size:1.5rem}}input,button{{font:inherit;padding:.4rem .8rem;\
         margin:.3rem .3rem 0 0}}</style><h1>{title}</h1><p>{sentence}</p>{form}</html>\n",
        language.tag()
    )
}

fn form(label: &str, button: &str) -> String {
    format!(
        "<form method=\"post\"><label>{label} <input type=\"password\" name=\"password\" required autofocus \
         autocomplete=\"off\" maxlength=\"512\"></label><button>{button}</button></form>"
    )
}

/// Headers of a page beside those of every answer.
#[must_use]
pub fn headers(language: Language) -> [(header::HeaderName, HeaderValue); 6] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag())),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::VARY, HeaderValue::from_static("accept, accept-language")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [Page; 7] =
        [Page::Unknown, Page::Over, Page::Blocked, Page::Ask, Page::AskAgain, Page::Veiled, Page::Wait];

    #[test]
    fn pages_are_small_and_in_two_languages() {
        for page in PAGES {
            let both = [Language::English, Language::Chinese].map(|language| html(page, language));
            assert_ne!(both[0], both[1]);
            for html in both {
                assert!(html.len() <= 2_048 && html.contains("noindex"), "{page:?}: {}", html.len());
                assert_eq!(html.contains("<form"), matches!(page, Page::Ask | Page::AskAgain));
            }
        }
    }

    #[test]
    fn the_language_that_is_liked_better_is_taken() {
        for (header, language) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::English),
            ("de, zh;q=0.5, en;q=0.4", Language::Chinese),
            ("de", Language::English),
            ("zh;q=0, en;q=0.1", Language::English),
            ("zh;q=x", Language::Chinese),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, header.parse().unwrap())]);
            assert_eq!(Language::of(&headers), language, "{header}");
        }
        assert_eq!(Language::of(&HeaderMap::new()), Language::English);
    }
}
