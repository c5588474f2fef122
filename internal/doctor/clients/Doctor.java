// signet doctor asks Java: reach URL SECONDS, or trust DER, in base64.
import java.io.ByteArrayInputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Base64;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

public class Doctor {
    public static void main(String[] args) {
        try {
            System.out.println(args[0].equals("trust") ? trust(args[1]) : reach(args[1], Integer.parseInt(args[2])));
        } catch (Exception e) {
            System.out.println("ERROR " + e);
        }
    }

    static String reach(String url, int seconds) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setInstanceFollowRedirects(false);
        connection.setConnectTimeout(seconds * 1000);
        connection.setReadTimeout(seconds * 1000);
        return "STATUS " + connection.getResponseCode();
    }

    static String trust(String encoded) throws Exception {
        byte[] der = Base64.getDecoder().decode(encoded);
        X509Certificate wanted = (X509Certificate)
            CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(der));
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init((KeyStore) null);
        for (TrustManager manager : factory.getTrustManagers()) {
            for (X509Certificate root : ((X509TrustManager) manager).getAcceptedIssuers()) {
                if (root.equals(wanted)) {
                    return "TRUSTED";
                }
            }
        }
        return "UNTRUSTED";
    }
}
