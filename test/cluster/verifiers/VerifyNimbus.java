// Judges ID tokens with nothing but an issuer URL, the way a relying party written in Java would, with Nimbus.
//
//   java -cp … VerifyNimbus ISSUER AUDIENCE CA-FILE [ALGORITHM,…] < tokens
//
// One token per line on standard input, one JSON line per token on standard output, in the same order. Without algorithms
// those of the discovery document are accepted, as it is at the start. With --version alone it prints the version of Nimbus.
import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.DefaultResourceRetriever;
import com.nimbusds.jose.util.JSONObjectUtils;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.text.ParseException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;

public final class VerifyNimbus {
  public static void main(String[] arguments) throws Exception {
    if (arguments.length == 1 && arguments[0].equals("--version")) {
      System.out.println(JOSEException.class.getPackage().getImplementationVersion());
      return;
    }
    String issuer = arguments[0];
    String audience = arguments[1];
    // The limits are those that Nimbus has without being told: half a second, 50 KiB.
    var retriever = new DefaultResourceRetriever(
        JWKSourceBuilder.DEFAULT_HTTP_CONNECT_TIMEOUT,
        JWKSourceBuilder.DEFAULT_HTTP_READ_TIMEOUT,
        JWKSourceBuilder.DEFAULT_HTTP_SIZE_LIMIT,
        true,
        trusting(Path.of(arguments[2])));
    var document = new URL(issuer.replaceFirst("/$", "") + "/.well-known/openid-configuration");
    Map<String, Object> metadata = JSONObjectUtils.parse(retriever.retrieveResource(document).getContent());
    if (!issuer.equals(metadata.get("issuer"))) {
      throw new IllegalStateException("the document is of the issuer " + metadata.get("issuer"));
    }
    List<String> names = arguments.length > 3
        ? List.of(arguments[3].split(","))
        : JSONObjectUtils.getStringList(metadata, "id_token_signing_alg_values_supported");
    Set<JWSAlgorithm> algorithms = names.stream().map(JWSAlgorithm::parse).collect(Collectors.toSet());
    var keys = JWKSourceBuilder.<SecurityContext>create(
        new URL(JSONObjectUtils.getString(metadata, "jwks_uri")), retriever).build();
    var processor = new DefaultJWTProcessor<SecurityContext>();
    processor.setJWSKeySelector(new JWSVerificationKeySelector<>(algorithms, keys));
    processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
        audience, new JWTClaimsSet.Builder().issuer(issuer).build(), Set.of("exp", "iat", "sub")));

    var tokens = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String token = tokens.readLine(); token != null; token = tokens.readLine()) {
      Map<String, Object> verdict = new LinkedHashMap<>();
      try {
        JWTClaimsSet claims = processor.process(token, null);
        verdict.put("ok", true);
        verdict.put("subject", claims.getSubject());
        // The claims as they were signed: Nimbus would print an audience without its brackets.
        verdict.put("claims", SignedJWT.parse(token).getPayload().toJSONObject());
      } catch (BadJOSEException | JOSEException | ParseException error) {
        verdict.put("ok", false);
        verdict.put("error", error.getClass().getSimpleName() + ": " + error.getMessage());
      }
      System.out.println(JSONObjectUtils.toJSONString(verdict));
      System.out.flush();
    }
    // Threads that would refresh the keys must not keep us.
    System.exit(0);
  }

  private static SSLSocketFactory trusting(Path file) throws Exception {
    var store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (var pem = Files.newInputStream(file)) {
      int number = 0;
      for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
        store.setCertificateEntry("ca-" + number++, each);
      }
    }
    var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    var tls = SSLContext.getInstance("TLS");
    tls.init(null, trust.getTrustManagers(), null);
    return tls.getSocketFactory();
  }
}
