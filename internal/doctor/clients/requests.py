# signet doctor asks Python's requests: reach URL SECONDS, or trust DER, in base64.
import base64, ssl, sys

try:
    import requests
except ImportError:
    print("MISSING")
    sys.exit()

what, arg = sys.argv[1:3]
if what == "trust":
    settings = requests.Session().merge_environment_settings("https://signet.invalid/", {}, None, None, None)
    bundle = settings["verify"] if isinstance(settings["verify"], str) else requests.certs.where()
    wanted = base64.b64decode(arg)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(bundle)
    print("TRUSTED" if wanted in context.get_ca_certs(binary_form=True) else "UNTRUSTED", "it reads " + bundle)
    sys.exit()
try:
    print("STATUS", requests.get(arg, timeout=float(sys.argv[3]), allow_redirects=False).status_code)
except Exception as e:
    print("ERROR", e)
