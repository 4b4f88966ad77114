"""Secrets that are known by their shape: a fixed beginning, then so many letters of an alphabet."""

import re
from dataclasses import dataclass

_WORD = "A-Za-z0-9"
_SLUG = r"A-Za-z0-9_\-"


@dataclass(frozen=True)
class TokenFormat:
    """Tokens that begin with `prefix`, as they are written; `pattern` matches a whole one and begins with it."""

    kind: str
    prefix: str
    pattern: re.Pattern[str]


def _format(kind: str, prefix: str, rest: str) -> TokenFormat:
    # The prefix stands first, so that the search is for a literal; only then it is seen that no word runs into it.
    # A letter before it may be that of an escaped line break, or the last of %3D and its like.
    literal = re.escape(prefix)
    before = rf"(?:(?<![A-Za-z0-9_-]{literal})|(?<=\\[nrt]{literal})|(?<=%[0-9A-F][0-9A-F]{literal}))"
    return TokenFormat(kind, prefix, re.compile(f"{literal}{before}{rest}"))


def _same(kind: str, prefixes: str, rest: str) -> tuple[TokenFormat, ...]:
    return tuple(_format(kind, prefix, rest) for prefix in prefixes.split())


# Sources: the issuers' own pages on the format of their tokens, read for prefix, alphabet and length. Lengths are
# taken lower than stated: a token that was cut off in a log is still most of a token.
TOKEN_FORMATS: tuple[TokenFormat, ...] = (
    *_same(
        "aws_key",
        "AKIA ASIA ABIA ACCA",
        rf"[A-Z0-9]{{16}}(?![{_WORD}])(?:[\s,:;\"']{{1,8}}[A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+=]))?",
    ),
    *_same("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", rf"[{_WORD}]{{20,}}"),
    *_same("github_token", "github_pat_", rf"[{_WORD}_]{{22,}}"),
    *_same(
        "gitlab_token",
        "glpat- glptt- gldt- glrt- glcbt- glft- glsoat- glagent- gloas- glimt- glffct- GR1348941",
        rf"[{_SLUG}]{{16,}}(?:\.[{_SLUG}.]{{2,}})?",
    ),
    *_same("slack_token", "xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs- xoxe. xapp-", rf"[{_SLUG}%.]{{10,}}"),
    *_same("anthropic_key", "sk-ant-", rf"[{_SLUG}]{{16,}}"),
    *_same("openai_key", "sk-", rf"(?=[A-Za-z_-]*\d)[{_SLUG}]{{20,}}"),
    *_same("stripe_key", "sk_live_ sk_test_ rk_live_ rk_test_ pk_live_ pk_test_", rf"[{_WORD}]{{10,}}"),
    *_same("webhook_secret", "whsec_", r"[A-Za-z0-9+/=]{20,}"),
    *_same("google_key", "AIza", rf"[{_SLUG}]{{30,}}"),
    *_same("google_token", "ya29.", rf"[{_SLUG}.]{{20,}}"),
    *_same("google_token", "1//0", rf"[{_SLUG}]{{20,}}"),
    *_same("google_secret", "GOCSPX-", rf"[{_SLUG}]{{20,}}"),
    *_same("databricks_token", "dapi dkea dose dsap", r"[0-9a-f]{32}(?:-\d)?"),
    *_same("prefect_key", "pnu_ pnb_", rf"[{_WORD}]{{20,}}"),
    *_same("npm_token", "npm_", rf"[{_WORD}]{{30,}}"),
    *_same("pypi_token", "pypi-", rf"[{_SLUG}]{{50,}}"),
    *_same("rubygems_key", "rubygems_", r"[0-9a-f]{40,}"),
    *_same("sendgrid_key", "SG.", rf"[{_SLUG}]{{16,}}\.[{_SLUG}]{{16,}}"),
    *_same("twilio_key", "SK", rf"[0-9a-f]{{32}}(?![{_WORD}])"),
    *_same("mailgun_key", "key-", rf"[0-9a-f]{{32}}(?![{_WORD}])"),
    *_same("newrelic_key", "NRAK-", r"[A-Z0-9]{24,}"),
    *_same("grafana_token", "glsa_ glc_", r"[A-Za-z0-9_+/=]{24,}"),
    *_same("vault_token", "hvs. hvb. hvr.", rf"[{_SLUG}]{{20,}}"),
    *_same("doppler_token", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", rf"[{_SLUG}.]{{20,}}"),
    *_same("huggingface_token", "hf_ api_org_", rf"[{_WORD}]{{30,}}"),
    *_same("digitalocean_token", "dop_v1_ doo_v1_ dor_v1_", r"[0-9a-f]{40,}"),
    *_same("shopify_token", "shpat_ shpca_ shppa_ shpss_", r"[0-9a-fA-F]{32}"),
    *_same("linear_key", "lin_api_ lin_oauth_", rf"[{_WORD}]{{30,}}"),
    *_same("notion_token", "secret_", rf"[{_WORD}]{{43}}(?![{_WORD}])"),
    *_same("notion_token", "ntn_", rf"[{_WORD}]{{40,}}"),
    *_same("atlassian_token", "ATATT3 ATCTT3 ATBB", rf"[{_SLUG}=]{{24,}}"),
    *_same("dbt_token", "dbtc_ dbtu_ dbts_", rf"[{_SLUG}=]{{20,}}"),
    *_same("model_key", "gsk_ r8_ xai- pplx-", rf"[{_WORD}]{{32,}}"),
    *_same("age_key", "AGE-SECRET-KEY-1", r"[0-9A-Z]{50,}"),
    *_same("supabase_key", "sbp_ sb_secret_", rf"[{_SLUG}]{{20,}}"),
    *_same("planetscale_token", "pscale_tkn_ pscale_pw_ pscale_oauth_", rf"[{_SLUG}.=]{{20,}}"),
    *_same("docker_token", "dckr_pat_ dckr_oat_", rf"[{_SLUG}]{{20,}}"),
    *_same("pulumi_token", "pul-", r"[0-9a-f]{40}"),
    *_same("postman_key", "PMAK-", r"[0-9a-f]{20,}-[0-9a-f]{20,}"),
    *_same("sentry_token", "sntrys_ sntryu_", r"[A-Za-z0-9+/=_]{40,}"),
    *_same("tailscale_key", "tskey-", rf"[{_SLUG}]{{20,}}"),
    *_same("circleci_token", "CCIPAT_ CCIPRJ_", rf"[{_SLUG}]{{20,}}"),
    *_same("cloudflare_key", "v1.0-", r"[0-9a-f]{24}-[0-9a-f]{100,}"),
    *_same("snowflake_token", "ver:", r"\d{1,2}-hint:\d+-[A-Za-z0-9+/=-]{20,}"),
    # A JWT, whole or cut off after the header's first letters: all begin like `{"` in base64.
    *_same("jwt", "eyJ", rf"[{_SLUG}]{{8,}}(?:\.[{_SLUG}]*){{1,4}}"),
    *_same("jwt", "eyJhbGci eyJ0eXAi eyJraWQi", rf"[{_SLUG}]{{8,}}"),
)
