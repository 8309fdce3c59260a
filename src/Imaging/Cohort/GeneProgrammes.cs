namespace BioSup.Imaging;

/// <summary>A set of genes that one concept drives. Genes may belong to more than one programme.</summary>
/// <param name="Name">Name of the pathway.</param>
/// <param name="Concept">The concept whose intensity raises these genes.</param>
/// <param name="Genes">HGNC symbols.</param>
public sealed record GeneProgramme(string Name, CohortConcept Concept, IReadOnlyList<string> Genes);

/// <summary>The gene programmes of the cohort, one per concept, with symbols of the real pathways they are named after.</summary>
public static class GeneProgrammes
{
    /// <summary>One programme per concept, in concept order.</summary>
    public static IReadOnlyList<GeneProgramme> All { get; } =
    [
        New("mTORC1 signalling", CohortConcept.SomaSize, "MTOR RPTOR RHEB EIF4EBP1 RPS6KB1 RPS6 EIF4E AKT1 IGF1R LAMTOR1 LAMTOR4 SLC7A5 SLC3A2 PDK1 DEPTOR"),
        New("Axonal transport", CohortConcept.NeuriteLength, "KIF5A KIF5C KIF1A KIF1B KIF3A DYNC1H1 DCTN1 KLC1 MAP1B MAP2 STMN2 GAP43 NEFL NEFM TUBB3 TUBA1A DPYSL2"),
        New("Axon guidance", CohortConcept.NeuriteBranching, "ROBO1 ROBO2 SLIT2 SLIT3 DCC UNC5C UNC5D SEMA3A SEMA3C SEMA6D PLXNA4 PLXNA2 NRP1 EPHA5 EPHB1 NTNG1 DSCAM"),
        New("SARM1 axon degeneration", CohortConcept.NeuriteBeading, "SARM1 NMNAT2 CAPN1 CAPN2 CAST SPTAN1 SPTBN1 STMN3 DLK1 MAP3K12 MAPK8 MAPK10 JUN ATF3 TUBB2A"),
        New("Oxidative phosphorylation", CohortConcept.MitochondrialPuncta, "NDUFA1 NDUFA4 NDUFB8 NDUFS1 NDUFS3 NDUFV1 SDHA SDHB UQCRC1 UQCRC2 CYCS COX4I1 COX5A COX6C COX7A2 ATP5F1A ATP5F1B ATP5MC1 ATP5PO"),
        New("Mitochondrial fusion and biogenesis", CohortConcept.MitochondrialNetwork, "MFN1 MFN2 OPA1 PPARGC1A PPARGC1B TFAM NRF1 ESRRA TFB2M POLG TWNK OMA1 YME1L1 STOML2 MIGA2"),
        New("PINK1-Parkin mitophagy", CohortConcept.MitochondrialClustering, "PINK1 PRKN SQSTM1 OPTN CALCOCO2 TAX1BP1 BNIP3 BNIP3L FUNDC1 MAP1LC3B GABARAPL1 ULK1 TBK1 USP30 PHB2 RHOT1 RHOT2 LRRK2"),
        New("Calcium-AIS scaffold", CohortConcept.Calcium, "RIPOR2 KLHL32 RYR3 CALN1 PCDH9 CCSER1 ANK3 EPHA7 PRKCB RTN1 PCSK5 FRMPD4 CDH13 KCNN2 VSNL1"),
        New("Progenitor maintenance", CohortConcept.NuclearSize, "SOX2 PAX6 HES1 HES5 NES VIM MKI67 TOP2A PCNA CCND1 CCND2 ID2 ID4 HMGB2 LMNB1"),
        New("Apoptosis", CohortConcept.NuclearCondensation, "CASP3 CASP7 CASP9 BAX BAK1 BBC3 PMAIP1 BCL2L11 APAF1 DIABLO HTRA2 BID XIAP CYCS ENDOG DFFA"),
        New("p53 DNA damage response", CohortConcept.NuclearFragmentation, "TP53 CDKN1A MDM2 GADD45A GADD45B SESN1 SESN2 RRM2B ATM CHEK2 H2AX PARP1 XRCC1 DFFB BBC3 PLK3"),
        New("Ribosome biogenesis", CohortConcept.NucleolarProminence, "NCL NPM1 FBL NOP56 NOP58 POLR1A POLR1B UBTF RRN3 NOLC1 DKC1 BOP1 WDR12 PES1 GNL3"),
        New("Chromatin remodelling", CohortConcept.ChromatinTexture, "HDAC1 HDAC2 HDAC4 EZH2 SUZ12 CBX3 CBX5 SMARCA4 SMARCA2 ARID1A CHD4 CHD7 SETDB1 DNMT3A KDM6B"),
        New("Necroptosis and RHO-ROCK signalling", CohortConcept.MembraneBlebbing, "ROCK1 ROCK2 RHOA MYL9 MYL12A MLKL RIPK1 RIPK3 ZBP1 EZR MSN RDX ANXA1 ANXA5 ARHGEF2"),
        New("Unfolded protein response", CohortConcept.Vacuoles, "HSPA5 HSP90B1 ATF4 DDIT3 XBP1 ERN1 EIF2AK3 ATF6 DNAJB9 DNAJC3 HERPUD1 SEL1L EDEM1 CALR CANX PDIA4 TRIB3"),
        New("Synuclein aggregation and chaperones", CohortConcept.Aggregates, "SNCA SNCAIP UCHL1 STUB1 VCP HSPA1A HSPA1B HSPA8 HSP90AA1 DNAJB1 DNAJB6 BAG3 HSPB1 PSMD4 UBB SQSTM1"),
        New("Lysosome", CohortConcept.LysosomalPuncta, "GBA1 LAMP1 LAMP2 CTSB CTSD CTSL HEXA HEXB GLA GALC NPC1 NPC2 PSAP SCARB2 TFEB MCOLN1 ATP6V0A1 ATP6V1B2 ATP13A2 TMEM175"),
        New("Actin cytoskeleton regulation", CohortConcept.ActinBundles, "ACTN1 ACTN4 CFL1 PFN1 PFN2 ARPC2 ARPC5 WASF1 CYFIP1 LIMK1 SSH1 TPM1 TPM3 MYH10 FLNA VCL LRRK2"),
        New("Presynaptic vesicle cycle", CohortConcept.SynapticPuncta, "SYN1 SYN2 SYT1 SNAP25 STX1A VAMP2 SV2A SLC17A7 STXBP1 CPLX1 UNC13A RIMS1 BSN PCLO DNM1 SH3GL2 SNCA"),
        New("TrkB survival signalling", CohortConcept.Filopodia, "NTRK2 BDNF SHC1 GRB2 SOS1 KRAS MAPK1 MAPK3 CREB1 PIK3CA PLCG1 ARC EGR1 FOS FGF13 CDC42 FNBP1L"),
    ];

    /// <summary>Genes that no concept drives.</summary>
    public static IReadOnlyList<string> Housekeeping { get; } = Split(
        "ACTB GAPDH B2M PPIA HPRT1 TBP YWHAZ SDHAF2 UBC EEF1A1 EEF2 EIF4A2 TPT1 FTL FTH1 MALAT1 MEG3 RPLP0 RPLP1 RPLP2 RPL3 RPL4 RPL5 RPL7 RPL8 RPL10 RPL11 RPL13 RPL15 RPL18 "
        + "RPL19 RPL23 RPL27 RPL30 RPL32 RPL35 RPS2 RPS3 RPS4X RPS5 RPS8 RPS9 RPS11 RPS12 RPS14 RPS15 RPS18 RPS19 RPS23 RPS24 RPS27 RPS28 TMSB4X TMSB10 CALM1 CALM2 PKM ENO1 "
        + "ENO2 LDHB ALDOA PGK1 TPI1 PRDX1 PRDX2 GPX4 SOD1 HNRNPA1 HNRNPK SRSF3 SRSF5 DDX5 PABPC1 NACA BTF3 SERF2 MYL6 ITM2B OAZ1 SKP1");

    private static GeneProgramme New(string name, CohortConcept concept, string genes) => new(name, concept, Split(genes));

    private static string[] Split(string symbols) => symbols.Split(' ');
}
