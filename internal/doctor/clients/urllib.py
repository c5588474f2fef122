# signet doctor asks Python's urllib: reach URL SECONDS, or trust DER, in base64.
import base64, ssl, sys, urllib.error, urllib.request

what, arg = sys.argv[1:3]
if what == "trust":
    wanted = base64.b64decode(arg)
    print("TRUSTED" if wanted in ssl.create_default_context().get_ca_certs(binary_form=True) else "UNTRUSTED")
    sys.exit()


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


try:
    with urllib.request.build_opener(Stay).open(arg, timeout=float(sys.argv[3])) as answer:
        print("STATUS", answer.status)
except urllib.error.HTTPError as e:
    print("STATUS", e.code)
except Exception as e:
    print("ERROR", e)
