"""Amounts of money as people write them."""

# Polar stores these without a fraction and every other currency in hundredths, also where usage differs (huf,
# isk, ugx, twd). Three-decimal currencies are not offered. Source: Polar's own formatting rule.
ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)

# Only what cannot be mistaken: no other dollar shows as a bare "$", nor the yuan as a bare "¥".
SYMBOLS = {
    "aud": "A$",
    "brl": "R$",
    "cad": "CA$",
    "cny": "CN¥",
    "eur": "€",
    "gbp": "£",
    "hkd": "HK$",
    "ils": "₪",
    "inr": "₹",
    "jpy": "¥",
    "krw": "₩",
    "mxn": "MX$",
    "ngn": "₦",
    "nzd": "NZ$",
    "php": "₱",
    "sgd": "S$",
    "twd": "NT$",
    "usd": "$",
    "vnd": "₫",
}


def format_money(minor: int, currency: str) -> str:
    """An amount with its currency: `$29.00`, `¥2,900`, `CHF 29.00`, `-$3.00`.

    `minor` is in the currency's smallest unit as Polar counts it, `currency` a three-letter ISO code in
    either case. Text that is no such code is not repeated, because it could say anything.
    """
    code = currency.lower()
    sign = "-" if minor < 0 else ""
    whole, fraction = divmod(abs(minor), 100)
    number = f"{abs(minor):,}" if code in ZERO_DECIMAL else f"{whole:,}.{fraction:02}"
    if code in SYMBOLS:
        return f"{sign}{SYMBOLS[code]}{number}"
    if len(code) == 3 and code.isascii() and code.isalpha():
        return f"{sign}{code.upper()} {number}"
    return f"{sign}{number} (unknown currency)"
