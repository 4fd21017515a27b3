"""Signing in at the force's own identity provider: OpenID Connect, authorization code with PKCE, state and nonce.

Sources: OpenID Connect Core 1.0 and Discovery 1.0, RFC 6749, RFC 7636 (PKCE), RFC 9207 (`iss` in the answer), RFC 9700.
"""
