"""
The forms of the tokens that vendors issue. They are public: vendors document them for scanners of
source code, and gitleaks and trufflehog collect them.

Not here: AWS access key ids, which investigators need, and hexadecimal or base64 text that is only
long: nearly all of that is an id or a hash.
"""

from __future__ import annotations

__all__ = ["PREFIXED", "UNPREFIXED"]

_W = r"[A-Za-z0-9_-]"

PREFIXED: tuple[tuple[str, str, str], ...] = (
    ("1Password", "ops_eyJ", r"[\w+/=-]{50,}"),
    ("1Password", "A3-", r"[A-Z0-9]{6}-(?:[A-Z0-9]{5,}-){3,}[A-Z0-9]{5,}"),
    ("Adobe", "p8e-", r"[a-z0-9]{32}"),
    ("age", "AGE-SECRET-KEY-1", r"[A-Z0-9]{58}"),
    ("Airtable", "pat", r"[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    ("Anthropic", "sk-ant-", rf"{_W}{{20,}}"),
    ("Artifactory", "AKCp", r"[A-Za-z0-9]{60,}"),
    ("Atlassian", "ATATT3 ATCTT3", rf"{_W}{{20,}}=*{_W}*"),
    ("Atlassian", "ATBB", r"[A-Za-z0-9]{24,}"),
    ("Clojars", "CLOJARS_", r"[a-z0-9]{60}"),
    ("Cloudflare", "v1.0-", r"[a-f0-9]{24}-[a-f0-9]{100,}"),
    ("Contentful", "CFPAT-", rf"{_W}{{40,}}"),
    ("crates.io", "cio", r"[A-Za-z0-9]{32}"),
    ("Databricks", "dapi", r"[a-f0-9]{32}"),
    ("DigitalOcean", "doo_v1_ dop_v1_ dor_v1_ dot_v1_", r"[a-f0-9]{64}"),
    ("Docker", "dckr_pat_ dckr_oat_", rf"{_W}{{20,}}"),
    ("Doppler", "dp.audit. dp.ct. dp.pt. dp.sa. dp.scim. dp.st.", r"[\w.]{40,}"),
    ("Dropbox", "sl.", rf"{_W}{{60,}}"),
    ("Duffel", "duffel_live_ duffel_test_", rf"{_W}{{40,}}"),
    ("Dynatrace", "dt0c01. dt0s01. dt0s02. dt0s16.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    ("EasyPost", "EZAK EZTK", r"[A-Za-z0-9]{50,}"),
    ("Facebook", "EAA", r"[A-Za-z0-9]{60,}"),
    ("Figma", "figd_ figo_ figu_ figd figo figu", rf"{_W}{{35,}}"),
    ("Flutterwave", "FLWSECK- FLWSECK_TEST- FLWSECK_LIVE-", r"[A-Za-z0-9-]{12,}"),
    ("Fly.io", "fo1_", rf"{_W}{{40,}}"),
    ("Fly.io", "fm1_ fm1a_ fm1r_ fm2_", r"[A-Za-z0-9+/=]{60,}"),
    ("GitHub", "ghp_ gho_ ghr_ ghs_ ghu_", r"[A-Za-z0-9]{36,}"),
    ("GitHub", "github_pat_", r"\w{22,}"),
    (
        "GitLab",
        "glpat- glagent- glcbt- gldt- glffct- glft- glimt- gloas- glptt- glrt- glrtr- glsoat-",
        rf"{_W}{{20,}}",
    ),
    ("GitLab", "GR1348941", rf"{_W}{{20}}"),
    ("GitLab", "_gitlab_session=", r"[a-f0-9]{32}"),
    ("Google", "AIza", rf"{_W}{{35}}"),
    ("Google", "ya29.", r"[\w-]{20,}"),
    ("Google", "GOCSPX-", rf"{_W}{{20,}}"),
    ("Google", "1//0", rf"{_W}{{30,}}"),
    ("Grafana", "eyJrIjoi", r"[A-Za-z0-9+/=]{40,}"),
    ("Grafana", "glc_ glsa_", r"[A-Za-z0-9+/_]{32,}={0,2}"),
    ("Groq", "gsk_", r"[A-Za-z0-9]{40,}"),
    ("Heroku", "HRKU-", rf"{_W}{{36,}}"),
    ("Hugging Face", "hf_ api_org_", r"[A-Za-z]{34,}"),
    ("Infracost", "ico-", r"[A-Za-z0-9]{32}"),
    ("Linear", "lin_api_ lin_oauth_", r"[A-Za-z0-9]{32,}"),
    ("Mailgun", "key- pubkey-", r"[a-f0-9]{32}"),
    ("New Relic", "NRAK- NRII- NRRA- NRJS-", r"[A-Za-z0-9-]{20,}"),
    ("Notion", "ntn_", r"[A-Za-z0-9]{40,}"),
    ("Notion", "secret_", r"[A-Za-z0-9]{43}"),
    ("NVIDIA", "nvapi-", rf"{_W}{{40,}}"),
    ("npm", "npm_", r"[A-Za-z0-9]{36,}"),
    ("Octopus", "API-", r"[A-Z0-9]{26}"),
    ("OpenAI", "sk-proj- sk-svcacct- sk-admin- sk-None-", rf"{_W}{{20,}}"),
    ("OpenAI", "sk-", r"[A-Za-z0-9]{20,}"),
    ("OpenRouter", "sk-or-v1-", r"[a-f0-9]{40,}"),
    ("OpenShift", "sha256~", rf"{_W}{{43}}"),
    ("Perplexity", "pplx-", r"[A-Za-z0-9]{40,}"),
    ("Pinecone", "pcsk_", r"\w{40,}"),
    ("PlanetScale", "pscale_oauth_ pscale_pw_ pscale_tkn_", r"[\w.=-]{32,}"),
    ("Postman", "PMAK-", r"[a-f0-9]{24}-[a-f0-9]{34}"),
    ("Prefect", "pnu_", r"[a-z0-9]{36}"),
    ("Pulumi", "pul-", r"[a-f0-9]{40}"),
    ("PyPI", "pypi-", rf"{_W}{{50,}}"),
    ("ReadMe", "rdme_", r"[a-z0-9]{70}"),
    ("Replicate", "r8_", r"[A-Za-z0-9]{37}"),
    ("RubyGems", "rubygems_", r"[a-f0-9]{48}"),
    ("SendGrid", "SG.", r"[\w-]{16,}\.[\w-]{16,}"),
    ("Sendinblue", "xkeysib-", r"[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    ("Sentry", "sntrys_ sntryu_", r"[A-Za-z0-9+/=_]{40,}"),
    ("Shippo", "shippo_live_ shippo_test_", r"[a-f0-9]{40}"),
    ("Shopify", "shpat_ shpca_ shppa_ shpss_", r"[a-fA-F0-9]{32}"),
    ("Slack", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-", rf"{_W}{{10,}}"),
    ("Slack", "xoxe.xoxb- xoxe.xoxp- xapp-", rf"{_W}{{10,}}"),
    ("SonarQube", "sqa_ sqp_ squ_", r"[a-f0-9]{40}"),
    ("Sourcegraph", "sgp_", r"(?:[a-f0-9]{16}_|local_)?[a-f0-9]{40}"),
    ("Square", "sq0atp- sq0csp- sq0idp-", rf"{_W}{{22,}}"),
    ("Square", "EAAA", rf"{_W}{{60}}"),
    ("Stripe", "sk_live_ sk_prod_ sk_test_ rk_live_ rk_prod_ rk_test_", r"[A-Za-z0-9]{10,}"),
    ("Stripe", "whsec_", r"[A-Za-z0-9+/=]{24,}"),
    ("Supabase", "sbp_", r"[a-f0-9]{40}"),
    ("Supabase", "sb_secret_", rf"{_W}{{20,}}"),
    ("Tailscale", "tskey-", r"[A-Za-z0-9-]{20,}"),
    ("Typeform", "tfp_", r"[\w.=-]{59}"),
    ("Vault", "hvb. hvr. hvs.", rf"{_W}{{20,}}"),
    ("Vault", "s.", r"[A-Za-z0-9]{24}"),
    ("Vercel", "vercel_blob_rw_", r"\w{20,}"),
    ("xAI", "xai-", r"[A-Za-z0-9]{70,}"),
    ("Yandex", "AQVN", rf"{_W}{{35,}}"),
    ("Yandex", "t1.", r"[\w=-]{20,}\.[A-Za-z0-9_-]{86}=*"),
)
"""
Vendor, the literal beginnings of its tokens, and a pattern for the rest. A token begins where no
letter or digit stands before it.
"""

UNPREFIXED: tuple[tuple[str, str, str], ...] = (
    # At the beginning of a word only: a search for each "eyJ" in it would take too long.
    ("JWT", "eyJ", r"(?<![\w-])eyJ[\w-]{8,}\.(?:[\w-]{8,}|(?=\.[\w-]{8,}))(?:\.[\w-]*)*"),
    ("Azure AD", r"\dQ~", r"[\w~.]{3}\dQ~[\w~.-]{31,}"),
    ("Mailchimp", r"[0-9a-f]-us\d", r"[a-f0-9]{32}-us\d{1,2}"),
    ("Telegram", r"\d:AA", r"(?:bot)?\d{8,10}:AA[A-Za-z0-9_-]{33}"),
    ("Terraform", r"\.atlasv1\.", rf"[A-Za-z0-9]{{14}}\.atlasv1\.{_W}{{60,}}"),
    (
        "Discord",
        # Base64 of an id, which is digits.
        r"[MNO][DTjz][A-Za-z0-9_-]{22}",
        rf"[MNO][DTjz]{_W}{{22,26}}\.{_W}{{6}}\.{_W}{{27,}}",
    ),
)
"""Vendor, a simple pattern that is in each of its tokens, and the whole pattern."""
